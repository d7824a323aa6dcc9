//! Processes, signals, PID file and log.
