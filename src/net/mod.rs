//! Sockets and worker threads.
