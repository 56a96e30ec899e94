//! simulated WeChat
