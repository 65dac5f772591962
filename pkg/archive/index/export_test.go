package index

// Asked reports every query of a reader to a test.
func Asked(x Index, asked func(text string, args []any)) { x.(*database).reads.asked = asked }

// SummaryTimes is what Results of tools are sorted by.
var SummaryTimes = summaryTimes
