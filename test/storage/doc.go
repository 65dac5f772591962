// Package storage tests the archive's stores against real object stores. It is a module of its own:
// the servers bring more than the product has.
package storage
