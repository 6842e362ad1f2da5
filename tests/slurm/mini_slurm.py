"""A real Slurm of one node for tests: its own folder, key, ports and daemons; no systemd, nothing under /etc.

Two plain files stand for GPUs, so that `--gres=gpu:1` is scheduled as on a cluster.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
CONF = """\
ClusterName=nap2test
SlurmctldHost={node}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={port}
SlurmdPort={slurmd_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=3600
MessageTimeout=60
PropagateResourceLimits=NONE
GresTypes=gpu
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes={node} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=graceful Nodes={node} MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes={node} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
# cred_expire=5: a requeued job waits until the credential of its former run has expired, by default two minutes.


def missing_programs():
    """What would have to be installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


class MiniSlurm:
    """Daemons under one folder, whose path must be short: a socket lies in it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.conf = self.folder / "slurm.conf"

    def start(self):
        """Start the daemons and wait until the node is idle."""
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munged insists
        self._write_configuration()
        self._start_munged()
        os.environ["SLURM_CONF"] = str(self.conf)
        for daemon in ("slurmctld", "slurmd"):
            output = (self.folder / f"{daemon}.out").open("wb")
            subprocess.run([_path(daemon)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True)
        self._await_idle(seconds=60)

    def stop(self):
        """Cancel all jobs and end the daemons."""
        subprocess.run(["scancel", "--user", str(os.getuid())], check=False, capture_output=True)
        for daemon in ("slurmd", "slurmctld", "munged"):
            pid_file = self.folder / f"{daemon}.pid"
            if not pid_file.exists():
                continue
            pid = int(pid_file.read_text())
            for number in (signal.SIGTERM, signal.SIGKILL):
                if _ends(pid, number):
                    break
        os.environ.pop("SLURM_CONF", None)

    def _write_configuration(self):
        node, port = socket.gethostname().split(".")[0], _free_port_pair()
        memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10
        self.conf.write_text(
            CONF.format(
                folder=self.folder,
                node=node,
                user=pwd.getpwuid(os.getuid()).pw_name,
                port=port,
                slurmd_port=port + 1,
                cpus=os.cpu_count(),
                memory_mb=memory_mb,
            )
        )
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        gpus = [self.folder / f"gpu{index}" for index in range(2)]
        for gpu in gpus:
            gpu.touch()
        (self.folder / "gres.conf").write_text("".join(f"NodeName={node} Name=gpu File={gpu}\n" for gpu in gpus))

    def _start_munged(self):
        private = self.folder / "munge"
        private.chmod(0o700)
        key = private / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        options = {
            "key-file": key,
            "socket": self.folder / "munge.socket",
            "pid-file": self.folder / "munged.pid",
            "log-file": private / "log",
            "seed-file": private / "seed",
        }
        command = [_path("munged"), "--force", *(f"--{name}={value}" for name, value in options.items())]
        subprocess.run(command, check=True, capture_output=True)

    def _await_idle(self, seconds):
        until = time.monotonic() + seconds
        while subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout.strip() != "idle":
            if time.monotonic() > until:
                logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("slurm*.log"))
                raise RuntimeError(f"Slurm did not come up:\n{logs}")
            time.sleep(0.2)


def _path(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_port_pair():
    """Two free neighbours, so that several test runs can go on at once."""
    for port in range(20000 + os.getpid() % 20000, 60000, 2):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("", port))
                second.bind(("", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no two free ports")


def _ends(pid, number, seconds=10.0):
    try:
        os.kill(pid, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            os.kill(pid, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        return True
    return False
