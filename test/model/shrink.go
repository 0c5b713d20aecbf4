package model

// Shrink finds a shorter sequence that still fails, by leaving out ever smaller parts and then by smaller numbers. It asks at most
// tries times.
func Shrink(steps []Step, tries int, fails func([]Step) bool) []Step {
	try := func(candidate []Step) bool {
		if tries <= 0 {
			return false
		}
		tries--
		return fails(candidate)
	}
	for part := (len(steps) + 1) / 2; part > 0 && tries > 0; {
		shorter := false
		for from := 0; from < len(steps) && tries > 0; {
			rest := without(steps, from, min(from+part, len(steps)))
			if try(rest) {
				steps, shorter = rest, true
				continue
			}
			from += part
		}
		if part > 1 {
			part /= 2
		} else if !shorter {
			break
		}
	}
	for i := range steps {
		steps = smaller(steps, i, try)
	}
	return steps
}

func without(steps []Step, from, to int) []Step {
	return append(append(make([]Step, 0, len(steps)), steps[:from]...), steps[to:]...)
}

// smaller makes the numbers of one step rounder.
func smaller(steps []Step, i int, try func([]Step) bool) []Step {
	for _, change := range []func(*Step){
		func(s *Step) { s.Off = 0 }, func(s *Step) { s.Off2 = 0 }, func(s *Step) { s.Size = min(s.Size, 1) },
		func(s *Step) { s.Size = min(s.Size, 4096) }, func(s *Step) { s.Seed = min(s.Seed, uint64(i+1)) },
	} {
		candidate := append([]Step(nil), steps...)
		change(&candidate[i])
		if candidate[i] != steps[i] && try(candidate) {
			steps = candidate
		}
	}
	return steps
}
