package guard

// Rule "opted-in": pods publish only in namespaces that have opted in by the label indelible.dev/results: enabled. The
// grant reaches every service account of the cluster, and what no publisher of ours can have sent is nobody's result.
// The API server decides which namespaces these are: it asks about all others at a path of their own (NewGuardElsewhere).
func checkOptedIn(elsewhere bool) *denial {
	if !elsewhere {
		return nil
	}
	return forbidden(ruleOptedIn, "the namespace has not opted in to results from pods (label indelible.dev/results: enabled)")
}
