//! Every parameter, declared once.
