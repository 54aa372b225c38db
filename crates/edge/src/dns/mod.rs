mod message;
mod zone;
