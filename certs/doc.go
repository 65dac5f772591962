// Package certs provides the certificate the webhook serves with, such that API servers always
// trust the one they are shown.
//
// There are two sources. Managed is the default: the replicas keep a CA and a serving certificate
// in one Secret and write the CA into the webhook configurations. Files serves a certificate that
// something else (cert-manager) keeps in a mounted Secret.
//
// # Life of a managed certificate
//
// Every replica runs the same loop, without a leader (round in managed.go): it reads the Secret,
// computes what it should contain (plan.go), writes that back if it differs (between two replicas
// the resourceVersion decides; the loser reads again), writes the bundle and the keys into the
// webhook configurations (publish.go), and only then serves with the Secret's certificate.
//
//   - The serving certificate is renewed by the same CA at two thirds of its life.
//   - A new CA is made at two thirds of the old one's life. At first it is only published: it joins
//     the bundle. Once it has been in every webhook configuration for the overlap period, it signs.
//     API servers watch their webhook configurations, so by then all of them trust it.
//   - A CA stays in the bundle until it expires, and nothing it signed is valid longer. A replica
//     that lags behind, or cannot reach the API server for a while, still serves a trusted
//     certificate.
//   - The keys in webhooks' paths, by which API servers are identified, are derived from each CA's
//     private key (keys.go). They change a quarter into the overlap.
//   - A part of the Secret that is missing, broken or not ours is made anew. So deleting the Secret
//     revokes everything in it; another replica's certificate is then untrusted until that replica
//     has read the Secret again.
package certs
