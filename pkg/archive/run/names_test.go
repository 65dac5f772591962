package run

import "testing"

func TestDerivedIdentifiers(t *testing.T) {
	// python3 -c 'import uuid; r=uuid.UUID("6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11");
	// print(uuid.uuid3(r, "u1"), uuid.uuid3(r, "u1eventlist"))'
	const result = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"
	if got := LogID(result, "u1"); got != "486a7199-0658-3430-9f05-68ac3b57b504" {
		t.Errorf("log %s", got)
	}
	if got := EventListID(result, "u1"); got != "ec31677c-fd0f-39dc-bbb8-0b30284d1fa8" {
		t.Errorf("events %s", got)
	}
	if LogID("push-17", "u1") == LogID("push-18", "u1") {
		t.Error("two Results, one log")
	}
}
