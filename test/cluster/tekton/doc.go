// Package tekton turns a Tekton Pipelines module, as published, into an installation without a
// registry: its commands become images, and its own manifests are applied with nothing but the
// image names changed.
package tekton
