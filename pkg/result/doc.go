// Package result is Indelible's vocabulary: names of labels and annotations, limits of results, and
// the marks by which the publisher reports how it ended.
//
// It has no behaviour beyond parsing and printing sizes and reading marks, and imports only the
// standard library, so that the publisher, which runs inside every injected pod, can use it.
package result
