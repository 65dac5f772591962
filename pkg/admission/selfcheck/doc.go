// Package selfcheck finds out whether the installation is what it is taken for, for as long as the webhook runs.
//
// Installing Indelible lets service accounts write taskruns/status (config/rbac). That is safe only as long as
// the guard's webhook configuration and each policy with its binding are there (DESIGN, D6): should somebody
// delete one of them, any pod could write more than its own results. Each replica looks every [Interval]. While
// the grant stands and a piece is missing, it is not ready, and says in /readyz, in a metric, in its log and in
// an event which piece, and what to do. What being not ready brings about is in
// docs/decisions/0004-an-unguarded-grant-makes-the-webhook-not-ready.md.
//
// The same look finds whether those pieces trust the user that Tekton's controller runs as: with another name
// Tekton cannot go on (docs/decisions/0008-the-controllers-name-is-generated.md). That, too, makes a replica
// not ready. What only differs from the configuration is told.
//
// Every [LeakInterval] a second look goes through all roles and bindings: which service accounts may patch
// taskruns/status, and by that read TaskRuns that they may not get? It is told, and changes nothing else.
//
// # What it does not see
//
// Narrower matchResources of a binding are taken for intended. Of the guard's matchConditions and the policies'
// expressions it reads whom they trust, and one limit; it does not evaluate them. Whoever may write these
// objects can open the door in more ways than a check can count; this one is against mistakes: a deleted
// object, a failure policy set to Ignore and forgotten, an installation applied by half.
//
// A grant in single namespaces is seen if it is a RoleBinding named indelible-publish-results to the
// ClusterRole of that name, as config/components/namespaced-grant tells to make it.
package selfcheck
