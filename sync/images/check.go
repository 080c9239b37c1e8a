package images

import (
	"errors"
	"fmt"
	"regexp"

	"airmirror/mirror"
)

var platform = regexp.MustCompile(`^[\w.-]+/[\w.-]+(?:/[\w.-]+)?$`)

// Check reports what cannot be understood of a request, for who has just typed it. [Run] does not insist: it reports
// what it cannot use and fetches the rest, as is right for a list of many.
func (req Request) Check() error {
	for _, p := range req.Platforms {
		if !platform.MatchString(p) {
			return fmt.Errorf("%q is not a platform: write os/arch or os/arch/variant, as linux/amd64", p)
		}
	}
	if req.Parallel < 0 {
		return errors.New("at least one blob has to be transferred at a time")
	}
	choose, err := selectors(req)
	if err != nil {
		return err
	}
	for _, name := range req.Images {
		_, tagged, err := ParseName(mirror.Names{}, name)
		if err == nil && tagged && choose != nil {
			err = errTagged
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}
