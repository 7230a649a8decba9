//! gateway-api
