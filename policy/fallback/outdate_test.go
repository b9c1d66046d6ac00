package fallback

import "testing"

func TestOutdates(t *testing.T) {
	for want, statuses := range map[bool][]int{
		true:  {200, 201, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 451},
		false: {0, 100, 103, 206, 226, 304, 406, 408, 412, 416, 425, 429, 431, 500, 502, 503, 504, 599, 999},
	} {
		for _, status := range statuses {
			if got := Outdates(status); got != want {
				t.Errorf("Outdates(%d) = %v, want %v", status, got, want)
			}
		}
	}
}
