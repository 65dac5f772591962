package index

// Asked has each question that a reader asks told to a test.
func Asked(x Index, asked func(text string, args []any)) { x.(*database).reads.asked = asked }
