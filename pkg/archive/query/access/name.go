package access

// Name returns the user's name. One user may have several tokens; they have the same name.
func (c *Caller) Name() string { return c.user.Username }
