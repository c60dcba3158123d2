package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/segue-serving/segue/drift"
)

const (
	hoursOfDay  = 24
	hoursOfWeek = 7 * hoursOfDay
	// hoursKept is a week and the longest window, so that the same hours a week
	// ago are there when a window ends.
	hoursKept = hoursOfWeek + hoursOfDay + 1
	// weekFormat is the version of the file.
	weekFormat = 1
	// maxWeekBytes bounds the file that is read back.
	maxWeekBytes = 64 << 20
)

// week is what this gateway counted of one version, by the hour. Hours that are
// over are kept encoded, which is a tenth of the memory.
type week struct {
	profile *drift.Profile
	digest  string
	hours   map[int64][]byte // by Unix time in hours
	// now is the hour under way, current its number; past are the hours of the
	// day before it, merged.
	now     *drift.Window
	current int64
	past    *drift.Window
}

func newWeek(t *Target) *week {
	profile := t.reference()
	return &week{profile: profile, digest: t.version.Digest, hours: map[int64][]byte{}, now: profile.NewWindow(), past: profile.NewWindow()}
}

func hourOf(at time.Time) int64 { return at.Unix() / int64(time.Hour/time.Second) }

// add counts what came until now.
func (k *week) add(counted *drift.Window, now time.Time) {
	k.turn(now)
	if err := k.now.Merge(counted); err != nil {
		panic("monitor: windows of one profile do not add up: " + err.Error())
	}
}

// turn begins a new hour where one is over.
func (k *week) turn(now time.Time) {
	hour := hourOf(now)
	if hour == k.current {
		return
	}
	if k.now.Rows() > 0 {
		k.hours[k.current] = encodeWindow(k.now)
	}
	k.now.Reset()
	k.current = hour
	maps.DeleteFunc(k.hours, func(h int64, _ []byte) bool { return h <= hour-hoursKept || h > hour })
	if earlier, ok := k.hours[hour]; ok { // a restart within the hour
		if w, err := k.profile.ParseWindow(earlier); err == nil {
			k.now = w
		}
		delete(k.hours, hour)
	}
	k.past = k.merge(hour-hoursOfDay+1, hour-1)
}

// merge adds up the hours from one to another that are over; an hour of other
// bins counts for nothing.
func (k *week) merge(from, to int64) *drift.Window {
	sum := k.profile.NewWindow()
	for hour := from; hour <= to; hour++ {
		if encoded, ok := k.hours[hour]; ok {
			if w, err := k.profile.ParseWindow(encoded); err == nil {
				_ = sum.Merge(w) // the same bins, as parsing said
			}
		}
	}
	return sum
}

// before is what was counted in the same hours a week before a window that
// began at a time and lasts until now, nil where that was nothing.
func (k *week) before(began, now time.Time) *drift.Window {
	k.turn(now)
	return some(k.merge(hourOf(began)-hoursOfWeek, hourOf(now)-hoursOfWeek))
}

// day is what was counted in the last 24 hours, nil where that was nothing.
func (k *week) day(now time.Time) *drift.Window {
	k.turn(now)
	sum := k.past.Clone()
	_ = sum.Merge(k.now) // the same bins
	return some(sum)
}

func some(w *drift.Window) *drift.Window {
	if w.Rows() == 0 {
		return nil
	}
	return w
}

// weekFile is how the hours lie on disk.
type weekFile struct {
	Format  int    `json:"format"`
	Model   string `json:"model"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	// Hours are encoded windows by Unix time in hours.
	Hours map[int64][]byte `json:"hours"`
}

// weekPath is where the hours of a version lie: names of models, versions and
// instances are good names for files.
func (m *Monitor) weekPath(model, version string) string {
	return filepath.Join(m.opts.StateDir, "drift", m.opts.Instance, model, version+".json")
}

// loadWeek reads what an earlier life of the gateway counted of a version. What
// cannot be read, or was counted of another artifact, begins anew.
func loadWeek(m *Monitor, model string, t *Target) *week {
	k := newWeek(t)
	if m.opts.StateDir == "" {
		return k
	}
	file, err := readWeek(m.weekPath(model, t.version.Name))
	if err == nil && file.Digest == k.digest {
		k.hours = file.Hours
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.opts.Log.Warn("what was counted for drift in the last week is lost", "model", model, "version", t.version.Name, "error", err)
	}
	return k
}

func readWeek(path string) (weekFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return weekFile{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxWeekBytes {
		return weekFile{}, errors.New("not a regular file of a sane size")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return weekFile{}, err
	}
	file := weekFile{}
	if err := json.Unmarshal(text, &file); err != nil {
		return weekFile{}, fmt.Errorf("damaged: %w", err)
	}
	if file.Format != weekFormat || file.Hours == nil {
		return weekFile{}, errors.New("not in a format that this version of segue reads")
	}
	return file, nil
}

// save writes the hours of all versions of a model to disk.
func (k *book) save(m *Monitor, model string) {
	if m.opts.StateDir == "" {
		return
	}
	for version, w := range k.weeks {
		hours := maps.Clone(w.hours)
		if w.now.Rows() > 0 {
			hours[w.current] = encodeWindow(w.now)
		}
		if err := writeWeek(m.weekPath(model, version), weekFile{weekFormat, model, version, w.digest, hours}); err != nil {
			m.opts.Log.Warn("what was counted for drift in the last week is not kept over a restart", "model", model, "version", version, "error", err)
		}
	}
}

// writeWeek puts a file in place in one step.
func writeWeek(path string, file weekFile) error {
	text, err := json.Marshal(file)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".week-*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp.Name()))
	}
	return err
}
