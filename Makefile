# Set up, run the demo, test, check, measure. PYTHON may name any Python 3.11-3.13.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: setup demo test test-learning test-others test-fast check dashboard bench-search bench-stopping bench-speed bench-clip-views bench-front-ends bench-cry bench-decision bench-enhancement bench-gram bench-latency bench-populations fit-latency clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11-3.13 is needed, this is %d.%d; set PYTHON=" % v)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)
	$(RUN) -m search wakeword --results results/demo

# In two halves beside each other, each on one core.
test: $(READY)
	$(MAKE) --no-print-directory --keep-going -j 2 test-learning test-others

test-learning: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests/spaces tests/export tests/trainables

test-others: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest --ignore tests/spaces --ignore tests/export --ignore tests/trainables

test-fast: $(READY)
	$(RUN) -m pytest -m 'not slow'

check: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# The study of RESULTS in a browser, also while its search runs.
RESULTS ?= results/demo
dashboard: $(READY)
	$(RUN) -m search.dashboard $(RESULTS)

bench-search: $(READY)
	$(RUN) -m tests.benchmarks.bench_search

bench-stopping: $(READY)
	$(RUN) -m tests.benchmarks.bench_stopping

bench-speed: $(READY)
	$(RUN) -m tests.benchmarks.bench_framework
	$(RUN) -m tests.benchmarks.bench_trials
	$(RUN) -m tests.benchmarks.bench_memory
	$(RUN) -m tests.benchmarks.bench_export
	$(RUN) -m tests.benchmarks.bench_views

# Needs POTSTILL_WORDS, a folder of spoken words, and POTSTILL_TEST_NOISE, one of noise that no training clip is heard
# in; POTSTILL_NOISE may name the noise of training. WORD is what to wake at, ARGS any other option.
WORD ?= jarvis
bench-clip-views: $(READY)
	$(RUN) -m tests.benchmarks.bench_clip_views --word $(WORD) $(ARGS)

# Needs POTSTILL_WORDS, as above.
bench-front-ends: $(READY)
	$(RUN) -m tests.benchmarks.bench_front_ends --word $(WORD) $(ARGS)

# Needs POTSTILL_SOUNDS, a folder of ESC-10 or ESC-50, and POTSTILL_YAMNET.
bench-cry: $(READY)
	$(RUN) -m tests.benchmarks.bench_cry

bench-decision: $(READY)
	$(RUN) -m tests.benchmarks.bench_decision

# Needs pip install '.[enhancers]' for more than the noisy input.
bench-enhancement: $(READY)
	$(RUN) -m tests.benchmarks.bench_enhancement

bench-gram: $(READY)
	$(RUN) -m tests.benchmarks.bench_gram

bench-latency: $(READY)
	$(RUN) -m tests.benchmarks.bench_latency

# On a GPU too, where there is one.
bench-populations: $(READY)
	$(RUN) -m tests.benchmarks.bench_populations $(ARGS)

fit-latency: $(READY)
	$(RUN) -m tests.benchmarks.bench_latency --fit

clean:
	rm -rf $(VENV) results build
