#!/usr/bin/env bash
# A Slurm of two nodes on this machine, from Debian's packages slurm-wlm and munge, for the tests.
#   tests/slurm/cluster.sh start | stop | missing
# `missing` prints what is absent and fails when anything is. Needs root and no systemd. It writes
# /etc/slurm, unless a Slurm that is not of this script is configured there; all else that it makes
# lies in one folder.
set -euo pipefail

FOLDER=/var/lib/phenoprints-slurm
MARK="ClusterName=phenoprints-test"
NODES=(first second)

missing() {
  local absent=()
  [ "$(id -u)" = 0 ] || absent+=("root rights")
  for program in munged slurmctld slurmd sbatch srun squeue scontrol scancel sinfo; do
    command -v "$program" > /dev/null || absent+=("$program")
  done
  if [ ${#absent[@]} != 0 ]; then
    echo "absent: ${absent[*]} (Debian: apt-get install slurm-wlm munge)"
    return 1
  fi
  if [ -s /etc/slurm/slurm.conf ] && ! grep -qx "$MARK" /etc/slurm/slurm.conf; then
    echo "/etc/slurm/slurm.conf belongs to another Slurm, which these tests leave alone"
    return 1
  fi
}

# The nodes pretend to have more processors and memory than the machine, so that jobs as large as those
# of a cluster run.
configure() {
  local name
  name=$(uname -n)
  name=${name%%.*}
  mkdir -p /etc/slurm "$FOLDER/state"
  cat > /etc/slurm/slurm.conf << CONF
# Written by tests/slurm/cluster.sh
$MARK
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
ReturnToService=2
KillWait=15
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/%n.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/%n.log
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/%n
GresTypes=gpu
NodeName=first NodeHostname=$name NodeAddr=127.0.0.1 Port=16818 CPUs=8 RealMemory=64000 Gres=gpu:1
NodeName=second NodeHostname=$name NodeAddr=127.0.0.1 Port=16819 CPUs=8 RealMemory=64000 Gres=gpu:1
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
CONF
  : > /etc/slurm/gres.conf
  for node in "${NODES[@]}"; do
    mkdir -p "$FOLDER/$node"
    ln -sf /dev/null "$FOLDER/$node.gpu0"  # a character device, as a GPU is
    echo "NodeName=$node Name=gpu File=$FOLDER/$node.gpu0" >> /etc/slurm/gres.conf
  done
}

start_munge() {
  pgrep -x munged > /dev/null && return
  mkdir -p /etc/munge /run/munge /var/log/munge /var/lib/munge
  [ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
  chown -R munge: /etc/munge /run/munge /var/log/munge /var/lib/munge
  chmod 0400 /etc/munge/munge.key
  chmod 0755 /run/munge
  runuser -u munge -- munged --force
  touch "$FOLDER/munge-is-ours"
}

is_idle() {
  [ "$(sinfo --noheader --Node --partition=cpu --format=%T 2> /dev/null | sort -u)" = idle ]
}

start() {
  missing
  mkdir -p "$FOLDER"
  stop
  configure
  start_munge
  slurmctld -c
  for node in "${NODES[@]}"; do slurmd -N "$node"; done
  for _ in $(seq 120); do
    is_idle && return 0
    sleep 0.5
  done
  echo "the nodes did not become idle:"
  sinfo --long --Node || true
  tail -n 20 "$FOLDER"/*.log
  return 1
}

# Ends a process of this script by its number, and waits until it is gone.
end() {
  local pid
  pid=$(cat "$1" 2> /dev/null || true)
  if [ -n "$pid" ] && grep -qs "^Name:[[:space:]]*\(slurm\|munge\)" "/proc/$pid/status"; then
    kill "$pid" || true
    for _ in $(seq 50); do
      [ -e "/proc/$pid" ] || break
      sleep 0.1
    done
    [ ! -e "/proc/$pid" ] || kill -9 "$pid" || true
  fi
  rm -f "$1"
}

stop() {
  [ -d "$FOLDER" ] || return 0
  if [ -e "$FOLDER/slurmctld.pid" ]; then
    timeout 10 scancel --user=root --signal=KILL > /dev/null 2>&1 || true
  fi
  for node in "${NODES[@]}"; do end "$FOLDER/$node.pid"; done
  end "$FOLDER/slurmctld.pid"
  if [ -e "$FOLDER/munge-is-ours" ]; then end /run/munge/munged.pid; fi
  rm -rf "$FOLDER" /etc/slurm/slurm.conf /etc/slurm/gres.conf
}

case "${1:-}" in
  start | stop | missing) "$1" ;;
  *) echo "usage: $0 start | stop | missing"; exit 2 ;;
esac
