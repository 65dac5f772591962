// Package result is the vocabulary of Indelible: the names it puts on objects, the limits it holds
// results to, and the marks by which the publisher tells the rest of the system how it ended.
//
// It owns no behaviour beyond parsing and printing sizes, and imports nothing but the standard library,
// so that the publisher, which runs inside every injected pod, can use it.
package result
