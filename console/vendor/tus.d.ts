// The file is a script that makes a global, not a module.
export {};
