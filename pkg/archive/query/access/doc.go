// Package access decides who may read and write what of the archive, by the cluster's own rules: a bearer token is given to the API server
// in a TokenReview, and what its user wants to do in a SubjectAccessReview of the group results.tekton.dev, as Tekton Results does. So
// its roles keep working, and whoever may not read a namespace's history through Kubernetes may not read it here.
//
// Answers are cached for a short time (TTL), refusals as well. The bound caches and limits on reviews under way are there because
// everybody may send requests: what nobody knows must not push out what is known, nor keep the API server busy.
package access
