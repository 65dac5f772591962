// Package image assembles container images from files, without a container engine and without a
// registry: the same files give the same bytes and the same digest on every machine.
package image
