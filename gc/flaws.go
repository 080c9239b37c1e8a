package gc

import "errors"

// flaws are records of the index that cannot be read. Nothing is taken out because of what is not known: the store looks
// for itself at everything that needs what is condemned.
type errorList struct {
	n     int
	first []error
}

// note notes an error, and reports whether there is one.
func (f *errorList) add(err error) bool {
	const most = 8
	if err == nil {
		return false
	}
	if f.n++; f.n <= most {
		f.first = append(f.first, err)
	}
	return true
}

func (f *errorList) err() error { return errors.Join(f.first...) }
