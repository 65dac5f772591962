package index

// Asked reports every query of a reader to a test.
func Asked(x Index, asked func(text string, args []any)) { x.(*database).reads.asked = asked }
