package dvc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jdx/go-netrc"
)

// Netrc returns credentials as Git's own HTTP client finds them: in the file that
// the variable NETRC names, or .netrc in the home folder. It is read again for
// each question; where it is not there nobody has any.
func Netrc(getenv func(string) string) func(host string) (username, password string, err error) {
	return func(host string) (username, password string, err error) {
		path := getenv("NETRC")
		if path == "" {
			if getenv("HOME") == "" {
				return "", "", nil
			}
			path = filepath.Join(getenv("HOME"), ".netrc")
		}
		// Read here, since the parser takes a file that cannot be read for none.
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", nil
		}
		if err != nil {
			return "", "", fmt.Errorf("the netrc file: %w", plain(err))
		}
		file, err := netrc.ParseString(string(text))
		if err != nil {
			// The parser's words may quote a secret.
			return "", "", errors.New("the netrc file cannot be understood")
		}
		machine := file.Machine(host)
		if machine == nil {
			return "", "", nil
		}
		return machine.Get("login"), machine.Get("password"), nil
	}
}
