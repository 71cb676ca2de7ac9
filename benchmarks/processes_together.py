"""Processes on this host that train together, for what one of them measures."""

import functools
import multiprocessing
import os
import socket


def together(num_processes, function, *arguments):
    """Calls `function(join, *arguments)` in new processes at the same time, and returns what it
    returns in the first one; `join(num_devices)` has each of them join the others.

    Each sees the devices that are its part, whatever `JAX_NUM_CPU_DEVICES` is here.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    processes = []
    try:
        for number in range(num_processes):
            join = functools.partial(_join, address, num_processes, number)
            own = (sender if number == 0 else None, function, join, *arguments)
            processes.append(context.Process(target=_run, args=own))
            processes[-1].start()
        sender.close()
        result = receiver.recv()  # an EOFError where the first one failed
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
    return result


def _join(address, num_processes, number, num_devices):
    os.environ.pop("JAX_NUM_CPU_DEVICES", None)
    from keras_s5rl import backend

    backend.processes.start(num_devices, address, num_processes, number)


def _run(sender, function, join, *arguments):
    os.dup2(2, 1)  # gloo prints to the standard output stream, which may be what is measured
    result = function(join, *arguments)
    if sender is not None:
        sender.send(result)
