"""A seccomp filter that takes from a caged job the system calls no evaluation needs.

It refuses (EPERM) looking into other processes, mounts, namespaces, kernel keys, kernel modules,
bpf, io_uring, userfaultfd and setting the clock. Everything else is left to the namespaces.

Source: the kernel's Documentation/userspace-api/seccomp_filter.rst; numbers from its
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

import platform
import struct

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

SHARED_NUMBERS = (
    *(425, 426, 427),  # io_uring_setup, _enter, _register
    *(428, 429, 430, 431, 432, 433, 442),  # open_tree to fspick, mount_setattr
    438,  # pidfd_getfd
)
"""Numbers above 424 are the same everywhere."""

X86_64_NUMBERS = (
    *(101, 310, 311, 312),  # ptrace, process_vm_readv, process_vm_writev, kcmp
    *(155, 161, 165, 166, 304),  # pivot_root, chroot, mount, umount2, open_by_handle_at
    *(272, 308),  # unshare, setns
    *(248, 249, 250),  # add_key, request_key, keyctl
    *(298, 321, 323),  # perf_event_open, bpf, userfaultfd
    *(175, 176, 313, 246, 320),  # init_module, delete_module, finit_module, kexec_*
    *(163, 167, 168, 169, 179, 103),  # acct, swapon, swapoff, reboot, quotactl, syslog
    *(159, 164, 227, 305),  # adjtimex, settimeofday, clock_settime, clock_adjtime
    *(154, 172, 173),  # modify_ldt, iopl, ioperm
)

AARCH64_NUMBERS = (
    *(117, 270, 271, 272),
    *(41, 51, 40, 39, 265),
    *(97, 268),
    *(217, 218, 219),
    *(241, 280, 282),
    *(105, 106, 273, 104, 294),
    *(89, 224, 225, 142, 60, 116),
    *(171, 170, 112, 266),
)
"""The same calls in the same order, less the three that only x86 has."""

X32_BIT = 0x40000000
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ARCH_OFFSET, NUMBER_OFFSET = 4, 0
KILL_PROCESS, ALLOW, REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | 1


def build_filter(machine: str | None = None) -> bytes | None:
    """The filter as bubblewrap's --seccomp reads it; None on a machine it was not written for."""
    machine = machine or platform.machine()
    if machine not in AUDIT_ARCH:
        return None
    own = X86_64_NUMBERS if machine == "x86_64" else AARCH64_NUMBERS
    numbers = sorted({*own, *SHARED_NUMBERS})
    program = [
        _op(LOAD_WORD, ARCH_OFFSET),
        _op(JUMP_EQUAL, AUDIT_ARCH[machine], if_true=1),
        _op(RETURN, KILL_PROCESS),
        _op(LOAD_WORD, NUMBER_OFFSET),
        _op(JUMP_AT_LEAST, X32_BIT, if_true=len(numbers) + 1),
    ]
    for at, number in enumerate(numbers):
        program.append(_op(JUMP_EQUAL, number, if_true=len(numbers) - at))
    program += [_op(RETURN, ALLOW), _op(RETURN, REFUSE)]
    return b"".join(program)


def _op(code: int, value: int, *, if_true: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, 0, value)
