// Package selfcheck verifies the installation while the webhook runs.
//
// Installing Indelible lets service accounts write taskruns/status (config/rbac). That is safe only
// while the guard's webhook configuration and each policy with its binding are in place
// (docs/design.md, D6): if one were deleted, any pod could write more than its own results. Each
// replica checks every [Interval]. While the grant exists and a piece is missing, it is not ready,
// and says in /readyz, in a metric, in its log and in an event which piece is missing and what to
// do. The consequences of being unready are in
// docs/decisions/0004-an-unguarded-grant-makes-the-webhook-not-ready.md.
//
// The same check verifies that those pieces trust the user that Tekton's controller runs as: with a
// wrong name Tekton stops (docs/decisions/0008-the-controllers-name-is-generated.md). That makes a
// replica unready, too. Settings that merely differ from the configuration are only reported.
//
// Every [LeakInterval] a second check goes through all roles and bindings for service accounts that
// may patch taskruns/status and thereby read TaskRuns that they may not get. It only reports.
//
// # What it does not see
//
// Narrower matchResources of a binding are taken for intended. Of the guard's matchConditions and
// the policies' expressions it reads the trusted users and one limit; it does not evaluate them.
// Anybody who may write these objects can weaken them in more ways than a check can cover. This one
// finds mistakes: a deleted object, a failure policy set to Ignore and forgotten, a partial
// installation.
//
// A grant in single namespaces is seen if it is a RoleBinding named indelible-publish-results to
// the ClusterRole of that name, as documented in config/components/namespaced-grant.
package selfcheck
