"""A deterministic simulation: the production services, unmodified, on a simulated network, broker, disk and clock.

Everything runs in one thread on one event loop whose clock jumps from one event to the next. One seed decides every
delay and every fault, so that the same seed is the same run everywhere. What is simulated lies below the services' own
libraries: sockets and the broker's protocol, not the services' calls.
"""
