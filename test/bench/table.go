package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const head = "\n| what | measured | target | met |\n| --- | --- | --- | --- |\n"

// row is a line of the table. One without a target explains the line before it.
type row struct {
	what, measured, target string
	met                    bool
}

func (r row) String() string {
	met := ""
	switch {
	case r.target == "":
	case r.met:
		met = "yes"
	default:
		met = "**no**"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", r.what, r.measured, r.target, met)
}

func atMost(what string, value, limit float64, unit string) row {
	return row{what, format(value) + " " + unit, "≤ " + format(limit) + " " + unit, value <= limit}
}

func atLeast(what string, value, limit float64, unit string) row {
	return row{what, format(value) + " " + unit, "≥ " + format(limit) + " " + unit, value >= limit}
}

func says(what, format string, args ...any) row {
	return row{what: what, measured: fmt.Sprintf(format, args...)}
}

// format truncates to three figures, so it never rounds up to a target.
func format(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}

// quantile returns the smallest value that a share q of all does not exceed (nearest rank).
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

const mib = 1 << 20
