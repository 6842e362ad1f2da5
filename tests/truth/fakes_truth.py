"""A search space of eight strings, and NB-201-like CSV text, for tests of the truth table."""

from nap2.errors import ArchStringError

ARCHS = tuple(f"|{a}|{b}|" for a in "pqrs" for b in "xy")


def check(arch_str):
    if arch_str not in ARCHS:
        raise ArchStringError(f"{arch_str!r} is no architecture of the fake space.")


def class_of(arch_str):
    return arch_str[:2]  # the first letter: two members each


def published_csv(cells=None):
    """Per cent accuracies on two datasets; the second architecture's are unknown."""
    header = (
        "index,arch_str,test_acc_cifar10,test_acc_ImageNet16-120,val_acc_cifar10,val_acc_cifar10_r0,params_cifar10,"
        "ep12_cost_s_cifar10,train_time_cifar10,val_n_seeds_cifar10"
    )
    lines = [header]
    for i, arch_str in enumerate(ARCHS):
        known = i != 1
        values = [90 + i / 4, 0.8333 + i, 80.5 + i, 80.25 + i, 1000 + i, 60.5, 1400.5, 3]
        shown = [str(value) if known or column in (4, 5, 6) else "" for column, value in enumerate(values)]
        lines.append(",".join([str(i), arch_str, *shown]))
    return "\n".join(lines) + "\n"
