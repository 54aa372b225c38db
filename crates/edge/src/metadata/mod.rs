mod token;
mod tree;
