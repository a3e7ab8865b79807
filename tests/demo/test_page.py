"""The page in a real browser: Chromium without a window. Skipped where there is none."""

import json
import shutil
import zipfile
from urllib.parse import urlparse

import cv2
import numpy as np
import pytest
import skimage.data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which('chromium') and shutil.which('chromedriver')),
        reason='no Chromium (Debian: apt-get install chromium chromium-driver)',
    ),
]
FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
    '--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1400,1100'
)
SECONDS = 120
DEPTH = '#maps img[alt=depth]'


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp('browser')
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS.split(), f'--user-data-dir={folder / "profile"}'):
        options.add_argument(flag)
    options.add_experimental_option('prefs', {'download.default_directory': str(folder)})
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which('chromedriver')))
    driver.downloads = folder
    yield driver
    driver.quit()


@pytest.fixture(scope='module')
def page(answers):
    """Address of the page of a slimmable network."""
    yield from served(answers('slimmable'))


@pytest.fixture(scope='module')
def page_with_examples(answers):
    """Address of the same with the photographs that come with the package."""
    from mtl.demo.page import EXAMPLES

    yield from served(answers('slimmable'), EXAMPLES)


def served(answers, examples=()):
    from mtl.demo.page import build_page, serve

    blocks = build_page(answers, 'epoch_1.pth', examples)
    yield serve(blocks, '127.0.0.1', None, block=False)
    blocks.close()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('files')
    cv2.imwrite(str(folder / 'astronaut.jpg'), skimage.data.astronaut()[..., ::-1])
    (folder / 'text.png').write_text('no image')
    (folder / 'large.png').write_bytes(bytes(21 << 20))
    return folder


def until(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, SECONDS, ignored_exceptions=(Exception,)).until(lambda _: condition())


def find(browser, selector):
    return browser.find_element('css selector', selector)


def numbers(browser):
    return find(browser, '#numbers').text


def severe(browser):
    return [entry['message'] for entry in browser.get_log('browser') if entry['level'] == 'SEVERE']


def hosts(browser):
    """Whom the browser has asked for something."""
    asked = set()
    for entry in browser.get_log('performance'):
        message = json.loads(entry['message'])['message']
        if message['method'] == 'Network.requestWillBeSent':
            address = urlparse(message['params']['request']['url'])
            if address.scheme in ('http', 'https', 'ws', 'wss'):
                asked.add(address.hostname)
    return asked


def test_upload_slide_look_download(browser, page, files, tmp_path):
    browser.get(page)
    until(browser, lambda: find(browser, 'input[type=file]')).send_keys(str(files / 'astronaut.jpg'))
    until(browser, lambda: 'ms measured' in numbers(browser))
    assert 'GMACs (100% of all tasks' in numbers(browser)
    assert 'encoder 100%, decoders 100%' in numbers(browser)
    assert 'quality not measured' in numbers(browser)
    assert [caption.text for caption in browser.find_elements('css selector', '#maps figcaption b')] == [
        'photograph',
        'semseg',
        'normals',
        'depth',
    ]
    depth = until(browser, lambda: find(browser, DEPTH))
    until(browser, lambda: depth.get_property('naturalWidth') == 512)  # as the photograph
    first = depth.get_attribute('src')

    slider = find(browser, '#budget input[type=range]')
    slider.send_keys(*['\ue012'] * 40)  # to the left
    slider.send_keys('\ue011')  # Home
    until(browser, lambda: 'encoder 25%' in numbers(browser))
    assert '100% of all tasks' not in numbers(browser)
    until(browser, lambda: find(browser, DEPTH).get_attribute('src') != first)

    browser.save_screenshot(str(tmp_path / 'page.png'))
    picture = cv2.imread(str(tmp_path / 'page.png'))
    assert picture.shape[1] > 1000
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000  # a photograph and its maps are to be seen

    find(browser, '#download').click()
    found = until(browser, lambda: list(browser.downloads.glob('*.zip')))
    assert {'panel.png', 'semseg.npy', 'depth.png'} <= set(zipfile.ZipFile(found[0]).namelist())
    assert severe(browser) == []
    assert hosts(browser) == {'127.0.0.1'}


@pytest.mark.parametrize(('name', 'words'), [('text.png', 'not an image that can be read'), ('large.png', 'size')])
def test_wrong_files_are_answered_by_a_sentence(browser, page, files, name, words):
    browser.get(page)
    until(browser, lambda: find(browser, 'input[type=file]')).send_keys(str(files / name))
    until(browser, lambda: words in find(browser, '.toast-wrap').text)
    assert numbers(browser) == ''


def test_opens_with_the_maps_of_an_example(browser, page_with_examples):
    browser.get(page_with_examples)
    until(browser, lambda: 'ms measured' in numbers(browser))
    assert browser.title == 'mtl: one photograph, all its maps'
    assert find(browser, '#head h1').text == 'One photograph, all its maps'
    first = find(browser, DEPTH).get_attribute('src')
    examples = browser.find_elements('css selector', '#examples button')
    assert len(examples) == 3
    examples[1].click()
    until(browser, lambda: find(browser, DEPTH).get_attribute('src') != first)
    bedroom = find(browser, DEPTH)
    assert bedroom.get_property('naturalWidth') > bedroom.get_property('naturalHeight')
    assert severe(browser) == []
    assert hosts(browser) == {'127.0.0.1'}


def test_controls_offer_what_can_be_had(browser, page_with_examples):
    """Importance only of tasks that run, and not of one alone; no task chosen means all of them."""
    browser.get(page_with_examples)
    until(browser, lambda: 'ms measured' in numbers(browser))
    find(browser, '#importance button').click()
    until(browser, lambda: find(browser, '#preference-depth').is_displayed())
    boxes = browser.find_elements('css selector', 'input[type=checkbox]')
    assert len(boxes) == 3
    boxes[0].click()
    until(browser, lambda: not browser.find_elements('css selector', '#preference-semseg'))
    assert find(browser, '#preference-depth').is_displayed()
    until(browser, lambda: not browser.find_elements('css selector', '#maps img[alt=semseg]'))
    boxes[1].click()
    until(browser, lambda: not browser.find_elements('css selector', '#importance'))
    boxes[2].click()
    until(browser, lambda: all(box.is_selected() for box in boxes))
    until(browser, lambda: len(browser.find_elements('css selector', '#maps figure')) == 4)


def test_on_a_telephone(browser, page_with_examples):
    """390 pixels: the maps come before the controls, nothing lies beside the screen."""
    screen = dict(width=390, height=844, deviceScaleFactor=2, mobile=True)
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', screen)
    try:
        browser.get(page_with_examples)
        until(browser, lambda: 'ms measured' in numbers(browser))
        boxes = {name: find(browser, name).rect for name in ('#head', '#maps', '#photograph', '#budget', '#numbers')}
        tops = [box['y'] for box in boxes.values()]
        assert tops == sorted(tops)
        assert boxes['#maps']['y'] < 200
        assert all(box['x'] >= 0 and box['x'] + box['width'] <= 390 for box in boxes.values())
        assert browser.execute_script('return document.documentElement.scrollWidth') == 390
    finally:
        browser.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
