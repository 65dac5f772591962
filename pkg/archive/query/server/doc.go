// Package server serves the archive as Tekton Results does: tekton.results.v1alpha2 over gRPC and
// REST on one port, with the same names, codes and roles, so that clients need no change.
// query.Engine reads the index and query.Writer writes; this package has transport, validation,
// authorization, partial responses and logs.
//
// A request passes authentication, observe (metrics, log of slow requests, recovery from panics),
// the method with its validation and authorization, and the partial response. REST calls the same
// methods within the process.
package server
