//! From notices to messages to receivers.
