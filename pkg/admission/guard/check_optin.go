package guard

// Rule "opted-in": pods publish only in namespaces labelled indelible.dev/results: enabled. The
// grant covers every service account of the cluster, but injection only these namespaces, so a
// write from elsewhere cannot come from our publisher. The API server evaluates the label: requests
// from all other namespaces arrive at a path of their own (NewGuardElsewhere).
func checkOptedIn(elsewhere bool) *denial {
	if !elsewhere {
		return nil
	}
	return forbidden(ruleOptedIn, "the namespace has not opted in to results from pods (label indelible.dev/results: "+
		"enabled)")
}
