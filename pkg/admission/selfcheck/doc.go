// Package selfcheck finds out whether the grant stands without what guards it.
//
// Installing Indelible lets service accounts patch taskruns/status (config/rbac). That is safe only as long as the guard's
// webhook configuration and each policy with its binding are there (DESIGN, D6): should somebody delete one of them, any
// pod could write more than its own results. Each replica looks every [Interval]. While the grant stands and a piece is
// missing, it is not ready, and says in /readyz, in a metric, in its log and in an event which piece, and what to do.
// What being not ready brings about is in docs/decisions/0004-an-unguarded-grant-makes-the-webhook-not-ready.md.
//
// # What it does not see
//
// Narrower selectors are taken for intended: a namespaceSelector of the guard's webhook, the matchResources of a
// binding. Nor does it evaluate what the guard's matchConditions and the policies' expressions say.
// Whoever may write these objects can open the door in more ways than a check can count; this one is against
// mistakes: a deleted object, a failure policy set to Ignore and forgotten, an installation applied by half.
//
// A grant in single namespaces is seen if it is a RoleBinding named indelible-publish-results to the ClusterRole of that
// name, as config/components/namespaced-grant tells to make it.
package selfcheck
