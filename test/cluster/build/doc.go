// Package build turns pinned Go modules into binaries, once: each result is kept in a cache folder
// under a key made of everything that went into it, so that a second run links nothing and a
// changed input never meets an old binary.
package build
