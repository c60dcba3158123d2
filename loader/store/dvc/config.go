package dvc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// remotes are those of .dvc/config.
type remotes struct {
	// standard is the name of the one that is used unless an output names
	// another.
	standard string
	settings map[string]map[string]string
}

// configFile is where DVC keeps what a repository says of remotes.
const configFile = ".dvc/config"

func (c *commit) remotes() (remotes, error) {
	text, err := c.read(configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return remotes{}, store.Permanent(fmt.Errorf("%s is not in the commit: it says where DVC's files lie", configFile))
	}
	if err != nil {
		return remotes{}, err
	}
	return parseConfig(text)
}

// parseConfig reads the INI dialect that DVC writes: [core] with remote = NAME,
// and sections of the name 'remote "NAME"'.
func parseConfig(text []byte) (remotes, error) {
	r := remotes{settings: map[string]map[string]string{}}
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if inner, ok := strings.CutPrefix(line, "["); ok {
			inner, ok = strings.CutSuffix(inner, "]")
			if !ok {
				return remotes{}, store.Permanent(fmt.Errorf("%s, line %d: a section without ]", configFile, n))
			}
			section = strings.Trim(strings.TrimSpace(inner), "'")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return remotes{}, store.Permanent(fmt.Errorf("%s, line %d: neither a section nor KEY = VALUE", configFile, n))
		}
		key, value = strings.TrimSpace(key), unquote(strings.TrimSpace(value))
		if section == "core" && key == "remote" {
			r.standard = value
		}
		if name, ok := strings.CutPrefix(section, "remote "); ok {
			name = unquote(strings.TrimSpace(name))
			if r.settings[name] == nil {
				r.settings[name] = map[string]string{}
			}
			r.settings[name][key] = value
		}
	}
	if err := lines.Err(); err != nil {
		return remotes{}, store.Permanent(fmt.Errorf("%s: %w", configFile, err))
	}
	return r, nil
}

func unquote(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
}

// address returns where the files of a remote lie; an empty name is the
// standard one.
func (r remotes) address(name string) (string, error) {
	if name == "" {
		name = r.standard
	}
	if name == "" {
		return "", store.Permanent(fmt.Errorf("%s names no remote: run dvc remote default, and commit it", configFile))
	}
	settings, there := r.settings[name]
	if !there || settings["url"] == "" {
		return "", store.Permanent(fmt.Errorf("%s does not say where the remote %q lies", configFile, name))
	}
	for _, layout := range []string{"version_aware", "worktree"} {
		if strings.EqualFold(settings[layout], "true") {
			return "", store.Permanent(fmt.Errorf("the remote %q is %s: its files do not lie under their hashes", name, layout))
		}
	}
	return settings["url"], nil
}
