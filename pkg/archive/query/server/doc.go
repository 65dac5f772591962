// Package server serves the archive as Tekton Results does: tekton.results.v1alpha2 over gRPC and REST on one port, with its names, codes
// and roles, so that its clients need no change. What is asked of an index is query.Engine's, what is written query.Writer's; here are
// transport, validation, permissions, partial responses and logs.
//
// A request goes through observe (metrics, what is slow), recovery, authentication, the method with its validation and authorization, and
// the partial response. REST is turned into the same calls within the process.
package server
