#!/usr/bin/env bash
# A one-node Slurm on this machine, from Debian's packages slurm-wlm and munge, for the tests.
#   tests/slurm/cluster.sh start | stop | missing
# `missing` prints what is absent and fails when anything is. Needs root; writes /etc/slurm.
set -euo pipefail

missing() {
  local absent=()
  [ "$(id -u)" = 0 ] || absent+=("root rights")
  for program in munged slurmctld slurmd sbatch squeue scontrol; do
    command -v "$program" > /dev/null || absent+=("$program")
  done
  [ ${#absent[@]} = 0 ] && return 0
  echo "absent: ${absent[*]} (Debian: apt-get install slurm-wlm munge)"
  return 1
}

start() {
  missing
  local name cpus memory
  name=$(hostname -s)
  cpus=$(nproc --all)  # plain nproc prints OMP_NUM_THREADS where that is set
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  mkdir -p /etc/slurm /var/spool/slurmctld /var/spool/slurmd /run/munge /var/log/munge
  touch /var/spool/slurmd/gpu0
  [ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
  chown -R munge: /etc/munge /run/munge /var/log/munge
  chmod 0400 /etc/munge/munge.key
  cat > /etc/slurm/slurm.conf << CONF
ClusterName=phenoprints-test
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
ReturnToService=2
KillWait=10
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
GresTypes=gpu
NodeName=$name NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  echo "NodeName=$name Name=gpu File=/var/spool/slurmd/gpu0" > /etc/slurm/gres.conf
  pgrep -x munged > /dev/null || runuser -u munge -- munged
  pgrep -x slurmctld > /dev/null || slurmctld -c
  pgrep -x slurmd > /dev/null || slurmd
  for _ in $(seq 30); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && return 0
    sleep 1
  done
  echo "the node did not become idle:"
  sinfo --long || true
  tail -n 20 /var/log/slurmctld.log /var/log/slurmd.log
  return 1
}

stop() {
  pkill -x slurmd || true
  pkill -x slurmctld || true
  pkill -x munged || true
  for _ in $(seq 100); do  # a start that finds a dying daemon would not start its own
    running > /dev/null || return 0
    sleep 0.1
  done
}

running() {
  pgrep -x slurmd || pgrep -x slurmctld || pgrep -x munged
}

case "${1:-}" in
  start | stop | missing) "$1" ;;
  *) echo "usage: $0 start | stop | missing"; exit 2 ;;
esac
