package access

// Name returns who the caller is, whatever token it has: one user may have many, and each is another key.
func (c *Caller) Name() string { return c.user.Username }
