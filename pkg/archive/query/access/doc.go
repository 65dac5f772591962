// Package access authorizes readers and writers by the cluster's own rules, as Tekton Results does:
// it sends the bearer token in a TokenReview, and what its user wants to do in a
// SubjectAccessReview for the group results.tekton.dev. So existing roles keep working, and what a
// user may not read through Kubernetes cannot be read here.
//
// Answers are cached for a short time (TTL), including refusals. The caches and the concurrent
// reviews are bounded because everybody can send requests: unknown tokens must neither evict known
// ones nor keep the API server busy.
package access
