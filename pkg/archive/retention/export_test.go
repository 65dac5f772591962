package retention

// SetMaxMembers changes the bound of a tree until undo is called.
func SetMaxMembers(n int) (undo func()) {
	before := maxMembers
	maxMembers = n
	return func() { maxMembers = before }
}

// MaxFailures is after how many errors Apply ends.
const MaxFailures = maxFailures
