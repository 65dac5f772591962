// Package certs owns the certificate the webhook serves with: where it comes from, and that no request of the
// API server ever meets one it does not trust.
//
// There are two sources. Managed is the default: the replicas keep a CA and a serving certificate of their own
// in one Secret and put the CA into the webhook configurations. Files serves what somebody else (cert-manager)
// keeps in a mounted Secret.
//
// # Life of a managed certificate
//
// Every replica runs the same loop, without a leader. It reads the Secret, asks plan what the Secret should
// hold by now, writes that back if it differs (the resourceVersion decides between two replicas; the loser
// reads again), makes the caBundle of the webhook configurations equal to the Secret's bundle, and only then
// serves with the Secret's certificate.
//
//   - The serving certificate is renewed by the same CA at two thirds of its life.
//   - A new CA is made at two thirds of the old one's life. At first it is only published: it joins the
//     bundle. When every webhook configuration has carried it for the overlap period, it signs. API servers
//     watch their webhook configurations, so by then all of them trust it.
//   - A CA stays in the bundle until it expires, and nothing it signed outlives it. A replica that lags
//     behind, or cannot reach the API server for a while, keeps serving something trusted.
//   - From each CA's private key follow the keys in the paths of webhooks (keys.go), by which API servers are known. They change
//     a quarter into the overlap.
//   - A part of the Secret that is missing, broken or not ours is made anew. Deleting the Secret is therefore the way
//     to revoke everything in it; until the other replica has looked again, its certificate is then untrusted.
package certs
